"""Try releases that are not pinned yet, report in an issue what fails, and check the reporter."""
