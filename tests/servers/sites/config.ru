# Says READY=1 when the application is loaded, as puma does by itself where the gem sd_notify is.
require "socket"

ready = lambda do
  path = ENV["NOTIFY_SOCKET"] or next
  socket = Socket.new(:UNIX, :DGRAM)
  socket.connect(Addrinfo.unix(path.sub(/\A@/, "\0")))
  socket.write("READY=1")
  socket.close
end
ready.call

run lambda { |env|
  id = env["QUERY_STRING"][/id=(\d+)/, 1]
  # Some requests take a while, so that a few are in flight whenever the server is told to stop.
  sleep 0.1 if id.end_with?("0")
  body = "id=#{id}. generation=#{ENV['DUTCH_MASTER_GENERATION']} worker=#{ENV['DUTCH_MASTER_WORKER_ID']}\n"
  [200, { "Content-Type" => "text/plain", "Content-Length" => body.bytesize.to_s }, [body]]
}
