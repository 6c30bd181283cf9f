"""The strategy SDK. A package, so that its platform (`conftest`) ends with its last test and not with the whole run."""
