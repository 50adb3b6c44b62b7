"""The shell: words on a command line become a config, a workflow and a summary."""
