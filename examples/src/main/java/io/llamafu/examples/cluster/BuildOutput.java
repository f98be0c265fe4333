package io.llamafu.examples.cluster;

import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Locates the build output that a cluster needs. The system property {@code llamafu.examples} names the folder of the
 * examples.
 */
public final class BuildOutput {
    private static final Path EXAMPLES =
            Path.of(System.getProperty("llamafu.examples", "examples")).toAbsolutePath();

    private BuildOutput() {}

    /** The folder for the output of examples; not in version control. */
    public static Path target() {
        return EXAMPLES.resolve("target");
    }

    /** The jar that users install. */
    public static Path llamafuJar() throws IOException {
        Path folder = EXAMPLES.resolveSibling("flink-llamafu-connector").resolve("target");
        return onlyJar(folder, "flink-llamafu-connector-*.jar");
    }

    /** The jobs of the examples with their connectors, without Flink and Llamafu. */
    public static Path jobJar() throws IOException {
        return onlyJar(target(), "jobs.jar");
    }

    static List<Path> flinkJars() throws IOException {
        return classPath("flink");
    }

    static List<Path> kafkaJars() throws IOException {
        return classPath("kafka");
    }

    /** Flink's Avro formats for tables, as users put them into {@code lib/}. */
    static List<Path> avroFormatJars() throws IOException {
        return classPath("avro-formats");
    }

    private static List<Path> classPath(String distribution) throws IOException {
        Path file = EXAMPLES.resolve("distributions").resolve(distribution).resolve("target/classpath.txt");
        if (!Files.isRegularFile(file)) {
            throw new IOException("There is no %s. Build it: mvn package -pl examples/distributions/%s, or mvn verify."
                    .formatted(file, distribution));
        }
        return Stream.of(Files.readString(file).trim().split(File.pathSeparator))
                .map(Path::of)
                .toList();
    }

    private static Path onlyJar(Path folder, String pattern) throws IOException {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> jars = Files.newDirectoryStream(folder, pattern)) {
                jars.forEach(found::add);
            }
        }
        if (found.size() != 1) {
            throw new IOException("One %s is expected in %s, but there are %s. Build it: mvn package -DskipTests."
                    .formatted(pattern, folder, found));
        }
        return found.get(0);
    }
}
