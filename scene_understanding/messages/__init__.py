"""ROS messages to arrays and back; one module a message family, functions named by both ends."""
