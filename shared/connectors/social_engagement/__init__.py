"""SocialEngagement: posts about topics are read."""
