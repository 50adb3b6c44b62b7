#!/usr/bin/env bash
# mqtt-spb-wrapper: a batch whose first reading is an int reads back without fractions, and a null metric is dropped.
#
# Sparkplug B is the MQTT payload of industrial plants. mqtt-spb-wrapper sends a list of values with a list of times as
# one DataSet, whose column has one type: that of the first value. Memory says that a batch arrives as it was sent, as
# single values do, or that mixed types are an error. [20, 20.75, 21.9] arrives as [20, 20, 21], with the right times:
# a drift of less than one unit is gone. It depends on the first reading: from 20.0 on, the same numbers arrive whole.
# The payload does hold 20.75, in a column typed Int64, and the decoder cuts it. Single values, an int and then a float,
# raise TypeError. Besides:
# - A batch is sent as 32-bit floats, a single value as 64-bit: a counter of energy of 16777217.5 Wh loses its last
#   digits in a batch only.
# - Sparkplug B marks a metric that has no reading now by is_null. Both decoders skip its value: the entity keeps the
#   last reading and its time, so that a sensor that failed looks like one that has not changed, and the parser's
#   metric lacks the key value.
# - set_value(name, None, time) is ignored, so that the last reading is sent again with send_all=True.
# No error and no warning in any of these cases; set_value returns False for None.
#
# Ways round it: make all values float before a batch; send counters one by one; read SpbPayloadParser(payload).payload
# and look at isNull of each metric before the entity's value.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "mqtt-spb-wrapper==2.1.2" "paho-mqtt==1.6.1" "protobuf==3.20.3"
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

from mqtt_spb_wrapper import MqttSpbEntityDevice, SpbPayloadParser
from mqtt_spb_wrapper.spb_protobuf import MetricDataType, Payload

warnings.simplefilter("error")
print("mqtt-spb-wrapper", version("mqtt-spb-wrapper"))
START = 1767225600000


def device():
    return MqttSpbEntityDevice("plant", "line", "boiler")


def arrives(sender, receiver, value, time):
    sender.data.set_value("reading", value, timestamp=time)
    receiver.deserialize_payload_data(sender.serialize_payload_data(send_all=True))
    times = receiver.data.get_value_timestamp("reading")
    after = [each - START for each in times] if isinstance(times, list) else times - START
    return f"{value} -> {receiver.data.get_value('reading')} after {after} ms"


times = [START, START + 1000, START + 2000]
for batch in ([20, 20.75, 21.9], [20.0, 20.75, 21.9]):
    print("batch", arrives(device(), device(), batch, times))
sender, receiver = device(), device()
print("single", arrives(sender, receiver, 20, START))
try:
    print("single", arrives(sender, receiver, 20.75, START + 1000))
except TypeError:
    print("single 20.75 -> TypeError")
print("batch", arrives(device(), device(), [16777217.5, 16777218.5], times[:2]))
sender, receiver = device(), device()
print("single", arrives(sender, receiver, 16777217.5, START))
print("single", arrives(sender, receiver, None, START + 60000))


def payload(time, value=None):
    message = Payload(timestamp=time)
    metric = message.metrics.add(name="reading", timestamp=time, datatype=MetricDataType.Double)
    if value is None:
        metric.is_null = True
    else:
        metric.double_value = value
    return message.SerializeToString()


receiver = device()
for message in (payload(START, 20.5), payload(START + 60000)):
    receiver.deserialize_payload_data(message)
    value, time = receiver.data.get_value("reading"), receiver.data.get_value_timestamp("reading")
    metric = SpbPayloadParser(message).payload["metrics"][0]
    print("null" if metric.get("isNull") else "value", "-> entity:", value, "after", time - START, "ms", end=", ")
    print("parser:", metric.get("value", "no value"))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='mqtt-spb-wrapper 2.1.2
batch [20, 20.75, 21.9] -> [20, 20, 21] after [0, 1000, 2000] ms
batch [20.0, 20.75, 21.9] -> [20.0, 20.75, 21.9] after [0, 1000, 2000] ms
single 20 -> 20 after 0 ms
single 20.75 -> TypeError
batch [16777217.5, 16777218.5] -> [16777218.0, 16777218.0] after [0, 1000] ms
single 16777217.5 -> 16777217.5 after 0 ms
single None -> 16777217.5 after 0 ms
value -> entity: 20.5 after 0 ms, parser: 20.5
null -> entity: 20.5 after 0 ms, parser: no value'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
