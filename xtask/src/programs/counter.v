module counter(input clk, input reset, input [7:0] step, output reg [31:0] count, output [31:0] square);
  always @(posedge clk) count <= reset ? 0 : count + step;
  assign square = count * count;
endmodule
