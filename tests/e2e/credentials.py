"""The root credential and the region of every cluster that the tests start."""

ACCESS_KEY = "e2e-access-key"
SECRET_KEY = "e2e-secret-key-of-the-tests"
REGION = "us-east-1"
CLUSTER_SECRET = "the-cluster-secret-of-these-tests-only-0123456789"
