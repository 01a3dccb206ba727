sleep BOOT
raise "this release is broken" if "FATE" == "broken"
sleep if "FATE" == "hanging"

run(lambda do |env|
  id = env["QUERY_STRING"][/id=(\w+)/, 1]
  text = "id=#{id}. version=VERSION\n"
  [200, { "content-type" => "text/plain", "content-length" => text.bytesize.to_s }, [text]]
end)
