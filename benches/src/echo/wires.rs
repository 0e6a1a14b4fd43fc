//! One end of a connection, for each library. A server writes back what it reads until the client
//! closes the connection. A client reads as many bytes as it sent.

use std::io::Result;
use std::net::TcpStream;

use super::BYTES;

pub trait Wire: 'static {
    fn adopt(stream: TcpStream) -> Self;

    fn serve(self) -> impl Future<Output = ()> + 'static;

    /// Sends the first buffer and fills the second. Some libraries need to own the buffers meanwhile.
    fn exchange(&mut self, sent: Vec<u8>, back: Vec<u8>) -> impl Future<Output = (Vec<u8>, Vec<u8>)>;
}

/// For libraries that borrow their buffers.
macro_rules! borrowing {
    ($name:ident($stream:ty), $adopt:expr, $reading:path, $writing:path) => {
        pub struct $name($stream);

        impl Wire for $name {
            fn adopt(stream: TcpStream) -> Self {
                Self($adopt(stream).expect("a socket"))
            }

            async fn serve(mut self) {
                use {$reading as _, $writing as _};
                let mut space = vec![0; BYTES];
                loop {
                    let read = self.0.read(&mut space).await.expect("a message");
                    if read == 0 {
                        return;
                    }
                    self.0.write_all(&space[..read]).await.expect("room for a message");
                }
            }

            async fn exchange(&mut self, sent: Vec<u8>, mut back: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
                use {$reading as _, $writing as _};
                self.0.write_all(&sent).await.expect("room for a message");
                self.0.read_exact(&mut back).await.expect("a message");
                (sent, back)
            }
        }
    };
}

borrowing!(
    ByAsyncIo(async_io::Async<TcpStream>),
    async_io::Async::new,
    futures_lite::AsyncReadExt,
    futures_lite::AsyncWriteExt
);
borrowing!(
    ByAsyncStd(async_std::net::TcpStream),
    |stream| Result::Ok(async_std::net::TcpStream::from(stream)),
    futures_lite::AsyncReadExt,
    futures_lite::AsyncWriteExt
);
borrowing!(
    ByTokio(tokio::net::TcpStream),
    |stream: TcpStream| {
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)
    },
    tokio::io::AsyncReadExt,
    tokio::io::AsyncWriteExt
);

/// For libraries that own their buffers. The length of the returned vector is the number of bytes read.
macro_rules! owning {
    ($name:ident($stream:ty), $reading:path, $reading_all:path, $writing:path) => {
        pub struct $name($stream);

        impl Wire for $name {
            fn adopt(stream: TcpStream) -> Self {
                Self(<$stream>::from_std(stream).expect("a socket"))
            }

            async fn serve(mut self) {
                use {$reading as _, $writing as _};
                let mut space = Vec::with_capacity(BYTES);
                loop {
                    let (read, filled): (Result<usize>, _) = self.0.read(space).await.into();
                    if read.expect("a message") == 0 {
                        return;
                    }
                    let (written, emptied): (Result<_>, _) = self.0.write_all(filled).await.into();
                    written.expect("room for a message");
                    space = emptied;
                    space.clear();
                }
            }

            async fn exchange(&mut self, sent: Vec<u8>, mut back: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
                use {$reading_all as _, $writing as _};
                let (written, sent): (Result<_>, _) = self.0.write_all(sent).await.into();
                written.expect("room for a message");
                back.clear();
                let (read, back): (Result<_>, _) = self.0.read_exact(back).await.into();
                read.expect("a message");
                (sent, back)
            }
        }
    };
}

owning!(
    ByMonoio(monoio::net::TcpStream),
    monoio::io::AsyncReadRent,
    monoio::io::AsyncReadRentExt,
    monoio::io::AsyncWriteRentExt
);
owning!(ByCompio(compio::net::TcpStream), compio::io::AsyncRead, compio::io::AsyncReadExt, compio::io::AsyncWriteExt);
