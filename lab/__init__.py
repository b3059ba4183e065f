"""The lab: an EC2 in a box. It stands in for AWS, a certificate authority and the internet's DNS, for people without an account and for tests."""
