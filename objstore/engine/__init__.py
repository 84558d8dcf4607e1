"""Objects over a set of drives: put, get, delete, list, multipart, heal. No HTTP."""
