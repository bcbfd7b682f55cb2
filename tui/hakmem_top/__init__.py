"""hakmem-top: the live terminal UI. It may use hakmem_tools; hakmem_tools never uses it."""
