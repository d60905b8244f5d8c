//! The command handler against recorded exchanges and against any bytes.
