#version 460
// out = 2 a + b, for 1000 floats.   glslangValidator -V --target-env vulkan1.2 -o affine.spv affine.comp
#extension GL_EXT_buffer_reference : require
layout(local_size_x = 64) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float v[]; };
layout(push_constant) uniform Push { Floats a; Floats b; Floats result; };
void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i < 1000) result.v[i] = 2.0 * a.v[i] + b.v[i];
}
