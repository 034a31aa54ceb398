//! Prints the lines of standard input in their order, each once, with how often it was there.

const std = @import("std");

pub fn main(init: std.process.Init) !void {
    const memory = init.arena.allocator();
    var input: [64 << 10]u8 = undefined;
    var stdin: std.Io.File.Reader = .initStreaming(.stdin(), init.io, &input);
    const text = try stdin.interface.allocRemaining(memory, .unlimited);

    var lines: std.ArrayList([]const u8) = .empty;
    var rest = std.mem.tokenizeScalar(u8, text, '\n');
    while (rest.next()) |line| try lines.append(memory, line);
    std.mem.sort([]const u8, lines.items, {}, isBefore);

    var output: [64 << 10]u8 = undefined;
    var stdout: std.Io.File.Writer = .initStreaming(.stdout(), init.io, &output);
    var first: usize = 0;
    for (lines.items, 1..) |line, next| {
        if (next < lines.items.len and std.mem.eql(u8, line, lines.items[next])) continue;
        try stdout.interface.print("{d:>7} {s}\n", .{ next - first, line });
        first = next;
    }
    try stdout.interface.flush();
}

fn isBefore(_: void, one: []const u8, other: []const u8) bool {
    return std.mem.order(u8, one, other) == .lt;
}
