//! Bytes to values and back, without I/O: every format that a worker or an operator speaks.
