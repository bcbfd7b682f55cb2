"""Everything that talks to the kernel's BPF; the only room that imports bcc, and only when used."""
