//! Authentication with a symmetric key (ntp chapter, section 3.2).
