//! The result of a lab and of a race, as text and as JSON (contract.md, `lab`).
