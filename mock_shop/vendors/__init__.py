"""The vendors' styles, one per module: windows, limits, pages, errors and the shape of an order."""

from mock_shop.vendors.bigcommerce import BigCommerce
from mock_shop.vendors.magento import Magento
from mock_shop.vendors.shopify import Shopify
from mock_shop.vendors.stripe import Stripe
from mock_shop.vendors.woocommerce import WooCommerce

VENDORS = {
    "shopify": Shopify,
    "woocommerce": WooCommerce,
    "stripe": Stripe,
    "magento": Magento,
    "bigcommerce": BigCommerce,
}
