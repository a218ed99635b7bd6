"""What a command line or a call of its function asks for, resolved by the same code; free of torch.

Each command has one function here, which turns what was given into its request: recipe, folders and flags, all defaults
filled in. `cli/` gives it the words of a command line by name, `api.py` the arguments of the function. Both then call
`require_inputs`, which looks at the disk, and hand the request on. So neither knows a default or a rule of its own.
"""
