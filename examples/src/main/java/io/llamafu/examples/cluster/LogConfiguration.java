package io.llamafu.examples.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The Log4j configuration of the processes: each logs to one file. */
final class LogConfiguration {
    private static final String LINES =
            """
            rootLogger.level = INFO
            rootLogger.appenderRef.file.ref = File
            appender.file.type = File
            appender.file.name = File
            appender.file.fileName = ${sys:log.file}
            appender.file.layout.type = PatternLayout
            appender.file.layout.pattern = %d{HH:mm:ss.SSS} %-5level [%t] %logger{1} - %msg%n%throwable
            """;

    private LogConfiguration() {}

    static void write(Path configuration) throws IOException {
        Files.writeString(configuration, LINES);
    }

    static List<String> flags(Path configuration, Path log) {
        return List.of("-Dlog4j.configurationFile=" + configuration.toUri(), "-Dlog.file=" + log);
    }
}
