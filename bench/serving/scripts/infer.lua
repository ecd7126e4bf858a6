-- One row for the Open Inference Protocol, another one each time: a body that is repeated flatters trees.
local bodies, n = {}, 0

function init(_)
  math.randomseed(7)
  for i = 1, 2000 do
    local values = {}
    for j = 1, 20 do values[j] = string.format("%.3f", math.random() * 200) end
    bodies[i] = '{"inputs":[{"name":"features","shape":[1,20],"datatype":"FP32","data":['
      .. table.concat(values, ",") .. ']}]}'
  end
end

function request()
  n = n % #bodies + 1
  return wrk.format("POST", nil, nil, bodies[n])
end
