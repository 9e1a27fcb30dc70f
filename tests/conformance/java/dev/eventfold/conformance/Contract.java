package dev.eventfold.conformance;

import com.google.protobuf.Descriptors;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.TypeRegistry;
import com.google.protobuf.util.JsonFormat;
import com.google.rpc.ErrorInfo;
import dev.eventfold.Json;
import dev.eventfold.v1.EventStoreGrpc;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import io.grpc.protobuf.ProtoServiceDescriptorSupplier;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * The calls of the contract, as the descriptors of the generated stubs have them. They are found
 * among the classes of the client, so that a proto that is added needs no line here.
 */
final class Contract {
    private static final Map<String, Descriptors.MethodDescriptor> METHODS = methods();
    private static final TypeRegistry TYPES =
            TypeRegistry.newBuilder().add(ErrorInfo.getDescriptor()).build();
    private static final JsonFormat.Printer PRINTER =
            JsonFormat.printer().preservingProtoFieldNames().usingTypeRegistry(TYPES);
    private static final JsonFormat.Parser PARSER = JsonFormat.parser().usingTypeRegistry(TYPES);

    private Contract() {}

    private static Map<String, Descriptors.MethodDescriptor> methods() {
        Map<String, Descriptors.MethodDescriptor> found = new TreeMap<>();
        try {
            Path classes =
                    Path.of(
                            EventStoreGrpc.class
                                    .getProtectionDomain()
                                    .getCodeSource()
                                    .getLocation()
                                    .toURI());
            String name = EventStoreGrpc.class.getPackageName();
            try (Stream<Path> files = Files.list(classes.resolve(name.replace('.', '/')))) {
                for (String file : files.map(one -> one.getFileName().toString()).toList()) {
                    if (file.endsWith("Grpc.class")) {
                        String stub = file.substring(0, file.length() - ".class".length());
                        add(found, Class.forName(name + "." + stub));
                    }
                }
            }
        } catch (IOException | URISyntaxException | ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
        return found;
    }

    private static void add(Map<String, Descriptors.MethodDescriptor> found, Class<?> stub)
            throws ReflectiveOperationException {
        ServiceDescriptor service =
                (ServiceDescriptor) stub.getMethod("getServiceDescriptor").invoke(null);
        ProtoServiceDescriptorSupplier schema =
                (ProtoServiceDescriptorSupplier) service.getSchemaDescriptor();
        for (Descriptors.MethodDescriptor method : schema.getServiceDescriptor().getMethods()) {
            found.put(method.getService().getName() + "." + method.getName(), method);
        }
    }

    /** The descriptor of {@code Service.Method}. */
    static Descriptors.MethodDescriptor method(String name) {
        Descriptors.MethodDescriptor found = METHODS.get(name);
        if (found == null) {
            throw new CaseError("no call is known as " + name);
        }
        return found;
    }

    /** A request as a case writes it, expanded, as the bytes of its message. */
    static byte[] encoded(Descriptors.MethodDescriptor method, Object request) {
        DynamicMessage.Builder message = DynamicMessage.newBuilder(method.getInputType());
        merge(request, message, method.getInputType().getName());
        return message.build().toByteArray();
    }

    static void merge(Object value, Message.Builder message, String name) {
        try {
            PARSER.merge(Values.json(value), message);
        } catch (InvalidProtocolBufferException error) {
            throw new CaseError("the request is not " + name + ": " + error.getMessage());
        }
    }

    /** A message as protobuf JSON with the names of the proto. */
    static Map<String, Object> json(Message message) {
        try {
            return Values.object(Json.of(PRINTER.print(message)).as(Map.class));
        } catch (InvalidProtocolBufferException error) {
            throw new CaseFailed("the answer is no protobuf JSON: " + error.getMessage());
        }
    }

    /** How gRPC makes the call: bytes go out as they are, and need not be a message. */
    static MethodDescriptor<byte[], DynamicMessage> call(Descriptors.MethodDescriptor method) {
        return MethodDescriptor.<byte[], DynamicMessage>newBuilder()
                .setType(type(method))
                .setFullMethodName(
                        MethodDescriptor.generateFullMethodName(
                                method.getService().getFullName(), method.getName()))
                .setRequestMarshaller(new Bytes())
                .setResponseMarshaller(new Messages(method.getOutputType()))
                .build();
    }

    private static MethodType type(Descriptors.MethodDescriptor method) {
        if (method.isClientStreaming()) {
            return method.isServerStreaming()
                    ? MethodType.BIDI_STREAMING
                    : MethodType.CLIENT_STREAMING;
        }
        return method.isServerStreaming() ? MethodType.SERVER_STREAMING : MethodType.UNARY;
    }

    private record Bytes() implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            throw new UnsupportedOperationException("requests are not read");
        }
    }

    private record Messages(Descriptors.Descriptor type)
            implements MethodDescriptor.Marshaller<DynamicMessage> {
        @Override
        public InputStream stream(DynamicMessage value) {
            throw new UnsupportedOperationException("answers are not sent");
        }

        @Override
        public DynamicMessage parse(InputStream stream) {
            try {
                return DynamicMessage.parseFrom(type, stream);
            } catch (IOException error) {
                throw Status.INTERNAL.withCause(error).asRuntimeException();
            }
        }
    }
}
