"""The lab: an EC2 in a box, with an AWS API, a certificate authority and DNS, for users without an AWS account and for tests."""
