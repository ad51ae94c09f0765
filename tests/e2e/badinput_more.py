"""What single cases ask for beyond verdict, reason and place, in the words of their expected.md."""

CHECKS = {}
