"""IAM in front of the lab's AWS API: each call needs an allow of the caller's policies, as on AWS.

`requests` reads from an HTTP request what it asks for, `policies` evaluates, `enforcement` connects them with moto.
"""
