# A Rack application; nothing in it knows of its supervisor.
GREETING = "hello from generation=#{ENV['DUTCH_MASTER_GENERATION']}\n"

run ->(_env) { [200, { "content-length" => GREETING.bytesize.to_s }, [GREETING]] }
