"""Images and metres: rendered scenes, KITTI, and the caches that training reads."""
