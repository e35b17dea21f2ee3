"""librdkafka's settings from a Java-like properties file."""


def settings(bootstrap, properties):
    lines = dict(line.strip().split("=", 1) for line in open(properties) if "=" in line)
    return {"bootstrap.servers": bootstrap, "security.protocol": lines["security.protocol"],
            "sasl.mechanisms": lines["sasl.mechanism"], "sasl.username": lines["sasl.username"],
            "sasl.password": lines["sasl.password"], "ssl.ca.location": lines["ssl.truststore.location"],
            "log_level": 3}
