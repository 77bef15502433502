#version 460
// The sum of 20 arrays of 1000 floats, their addresses in a table.
// glslangValidator -V --target-env vulkan1.2 -o total.spv total.comp
#extension GL_EXT_buffer_reference : require
layout(local_size_x = 64) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float v[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Table { Floats at[21]; };
layout(push_constant) uniform Push { Table table; };
void main() {
    uint i = gl_GlobalInvocationID.x;
    if (i >= 1000) return;
    float sum = 0.0;
    for (uint k = 0; k < 20; ++k) sum += table.at[k].v[i];
    table.at[20].v[i] = sum;
}
