//! The same in protobuf, for the clients in Go and Java. The bytes are what Google's own library makes of Mesos's `.proto` files.
