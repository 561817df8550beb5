"""stub"""
def erase_user(*a, **k): pass
