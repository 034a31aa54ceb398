# Runs the script that is the first argument, as `ruby SCRIPT` does.
$0 = ARGV.shift
last = []
Kernel.define_method(:at_exit) { |&block| last.unshift(block) && block }
status = 0
guarded = lambda do |&block|
  block.call
rescue SystemExit => left
  status = left.status
rescue Exception => error
  status = 1
  error.set_backtrace(error.backtrace&.reject { |line| line.start_with?("eval:") })
  $stderr.write(error.full_message(highlight: false))
end
guarded.call { load $0 }
guarded.call(&last.shift) until last.empty?
guarded.call { $stdout.flush }
exit!(status)
