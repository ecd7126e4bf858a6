-- A payment by one of 2,000 customers, another one each time.
local n = 0

function request()
  n = n + 1
  return wrk.format("POST", nil, nil, string.format(
    '{"keys":{"customer":%d,"payment":%d},"fields":{"amount":%.2f,"items":%d,"moment":"2026-11-20T%02d:%02d:00Z"}}',
    (n * 7919) % 2000, n, 1 + (n * 31) % 20000 / 100, 1 + n % 8, n % 24, n % 60))
end
