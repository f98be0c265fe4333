package io.llamafu.examples.cluster;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A Flink distribution on disk ({@code conf}, {@code log}, {@code tmp}, {@code plugins}), and how to start a process in
 * it, like Flink's shell scripts. The content of a distribution's {@code lib} is in the local Maven repository.
 */
final class FlinkFolder {
    private static final String RESULT_MARK = "BASH_JAVA_UTILS_EXEC_RESULT:";
    private static final long UTILITY_SECONDS = 120;

    /** The part of {@code env.java.opts.all} in Flink's default configuration file that opens packages. */
    private static final List<String> OPENED_PACKAGES = List.of(
            "java.lang",
            "java.lang.reflect",
            "java.io",
            "java.net",
            "java.nio",
            "java.text",
            "java.time",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.util.concurrent.locks",
            "sun.nio.ch");

    private final Path folder;
    private final String classPath;

    private FlinkFolder(Path folder, String classPath) {
        this.folder = folder;
        this.classPath = classPath;
    }

    /**
     * Creates a folder.
     *
     * @param libraries jars for {@code lib} beside Flink's own
     * @param plugins jars, each of which gets its own folder
     */
    static FlinkFolder create(Path folder, List<Path> libraries, List<Path> plugins, Map<String, String> configuration)
            throws IOException {
        for (String name : List.of("conf", "log", "tmp")) {
            Files.createDirectories(folder.resolve(name));
        }
        for (Path plugin : plugins) {
            String name = plugin.getFileName().toString();
            Path own = Files.createDirectories(folder.resolve("plugins").resolve(name.replaceFirst("\\.jar$", "")));
            Files.copy(plugin, own.resolve(name));
        }
        String classPath = Stream.concat(BuildOutput.flinkJars().stream(), libraries.stream())
                .map(jar -> jar.toAbsolutePath().toString())
                .collect(Collectors.joining(File.pathSeparator));
        String lines = configuration.entrySet().stream()
                .map(entry ->
                        "%s: '%s'%n".formatted(entry.getKey(), entry.getValue().replace("'", "''")))
                .collect(Collectors.joining());
        Files.writeString(folder.resolve("conf/config.yaml"), lines);
        LogConfiguration.write(logConfiguration(folder));
        return new FlinkFolder(folder, classPath);
    }

    private static Path logConfiguration(Path folder) {
        return folder.resolve("conf/log4j2.properties");
    }

    Path log(String name) {
        return folder.resolve("log").resolve(name + ".log");
    }

    Path temporary() {
        return folder.resolve("tmp");
    }

    JavaProcess start(String name, List<String> jvmFlags, String mainClass, List<String> arguments) throws IOException {
        List<String> all = new ArrayList<>(jvmFlags);
        OPENED_PACKAGES.forEach(opened -> all.add("--add-opens=java.base/%s=ALL-UNNAMED".formatted(opened)));
        all.add("--enable-native-access=ALL-UNNAMED");
        all.addAll(LogConfiguration.flags(logConfiguration(folder), log(name)));
        all.add("-Djava.io.tmpdir=" + temporary());
        all.add("-cp");
        all.add(classPath);
        all.add(mainClass);
        all.addAll(arguments);
        // Recommended by docs/deployment.md where glibc allocates; Flink's images use jemalloc.
        Map<String, String> environment = Map.of("FLINK_CONF_DIR", configurationFolder(), "MALLOC_ARENA_MAX", "1");
        return JavaProcess.start(name, all, folder, environment, folder.resolve("log/" + name + ".out"));
    }

    String configurationFolder() {
        return folder.resolve("conf").toString();
    }

    /**
     * What Flink computes from the configuration for a kind of process.
     *
     * @param jvmFlags heap, direct memory and metaspace
     * @param arguments the same figures as dynamic properties
     */
    record Resources(List<String> jvmFlags, List<String> arguments) {}

    /** @param command a command of Flink's {@code BashJavaUtils} */
    Resources resources(String command) throws IOException, InterruptedException {
        JavaProcess utility = start(
                command,
                List.of(),
                "org.apache.flink.runtime.util.bash.BashJavaUtils",
                List.of(command, "--configDir", configurationFolder()));
        List<List<String>> results = utility.awaitSuccess(UTILITY_SECONDS)
                .lines()
                .filter(line -> line.startsWith(RESULT_MARK))
                .map(line -> List.of(line.substring(RESULT_MARK.length()).trim().split("\\s+")))
                .toList();
        if (results.size() != 2) {
            throw new IllegalStateException(
                    "Flink's BashJavaUtils gave %d results in place of two: %s".formatted(results.size(), results));
        }
        return new Resources(results.get(0), results.get(1));
    }
}
