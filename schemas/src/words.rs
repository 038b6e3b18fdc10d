//! Enums of the words that stand in the table.

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[$variant_meta])* $variant ),* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$variant ),*];

            /// The word in the table.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),* }
            }

            /// What a word of the table stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $( $word => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}
