package main

import "time"

// cleanupTimeout bounds what is still done after an interrupt.
const cleanupTimeout = 10 * time.Second
