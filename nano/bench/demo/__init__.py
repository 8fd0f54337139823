"""A Jetson that is none: an ssh server in this process, with tools that replay made-up logs."""
