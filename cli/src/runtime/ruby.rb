# Runs the script that the second word of the command line names, as `ruby SCRIPT` does; the first is the program.
ARGV.shift
script = ARGV.shift
$0 = script if script
last = []
Kernel.define_method(:at_exit) { |&block| last.unshift(block) && block }
status = 0
guarded = lambda do |&block|
  block.call
rescue SystemExit => left
  status = left.status
rescue Exception => error
  status = 1
  frames = error.backtrace.to_a.grep_v(/\A[^:]*:in 'Kernel[.#](eval|load)'|\Aeval:/)
  error.set_backtrace(frames.empty? ? [$0] : frames)
  begin
    $stderr.write(error.full_message(highlight: false))
  rescue Exception
    $stderr.write("#{$0}: #{error.message} (#{error.class})\n")
  end
end
guarded.call { script ? load(script) : raise(ArgumentError, "there is no script to run") }
guarded.call(&last.shift) until last.empty?
guarded.call { $stdout.flush }
exit!(status)
