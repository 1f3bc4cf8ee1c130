"""The Image lab: an image, its attack and its purification, the error around them and every chart along the path."""
