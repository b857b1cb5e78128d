-- The test suites make a database each.
GRANT ALL ON *.* TO parley@'%';
