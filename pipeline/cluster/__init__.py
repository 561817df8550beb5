"""Has pieces of dates staged by the executors of a Spark cluster. They write the bytes that one machine would write."""

from pipeline.cluster.executor import Dates
from pipeline.cluster.spark import Cluster

__all__ = ["Cluster", "Dates"]
