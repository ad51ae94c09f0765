-- The guestbook: GET lists what visitors wrote, POST adds a line. Entries live in the store.
local redis = require("nginx.redis")

local function read_version()
  local file = io.open("/etc/nginx/version")
  local version = file and file:read("*l") or "?"
  if file then file:close() end
  return version
end

local function connect()
  local client = redis:new()
  client:set_timeout(1000)
  local host = os.getenv("STORE_SERVICE_HOST")
  if not host then return nil, "the store has no address" end
  local ok, reason = client:connect(host, tonumber(os.getenv("STORE_SERVICE_PORT") or "6379"))
  if not ok then return nil, reason end
  return client
end

if ngx.var.uri ~= "/" and ngx.var.uri ~= "/version" then
  ngx.exit(ngx.HTTP_NOT_FOUND)
end
ngx.say((os.getenv("GUESTBOOK_TITLE") or "Guestbook") .. " (version " .. read_version() .. ")")
ngx.say("served by " .. (os.getenv("HOSTNAME") or "?"))
if ngx.var.uri == "/version" then return end

local client, reason = connect()
if not client then
  ngx.say("the store does not answer: " .. tostring(reason))
  return
end
if ngx.req.get_method() == "POST" then
  ngx.req.read_body()
  client:rpush("entries", (ngx.req.get_body_data() or ""):sub(1, 200))
end
local entries = client:lrange("entries", -10, -1)
ngx.say(#entries == 0 and "nobody has written yet" or "last entries:")
for _, entry in ipairs(entries) do ngx.say("- " .. entry) end
client:set_keepalive(10000, 10)
