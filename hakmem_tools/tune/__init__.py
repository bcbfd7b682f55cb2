"""The tuning way: knob space -> plan -> runner -> store -> statistics -> verdict -> env file."""
