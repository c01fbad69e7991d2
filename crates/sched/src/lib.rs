//! The scheduler interface and every scheduler.
