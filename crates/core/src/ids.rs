//! Dense integer names: each indexes a `Vec`.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// As an index into a `Vec`.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id! {
    /// A request, numbered in arrival order from 0.
    RequestId(u32)
}
id! {
    /// An instance of the cluster, numbered from 0 and never reused.
    InstanceId(u32)
}
id! {
    /// A node of the prefix forest.
    PrefixId(u32)
}
id! {
    /// A session (conversation or agent run) that links the turns of one client.
    SessionId(u32)
}
id! {
    /// A tenant (a paying customer, a user).
    TenantId(u16)
}

impl InstanceId {
    /// From an index into a `Vec` of instances.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("more than 2^32 instances"))
    }
}
