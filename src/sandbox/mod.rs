//! A fake DQE for demonstrations and tests.
