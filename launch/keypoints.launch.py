"""Finds the people in front of a camera: ros2 launch scene_understanding keypoints.launch.py

With a RealSense, for one: image:=/camera/color/image_raw camera_info:=/camera/color/camera_info
    depth:=/camera/aligned_depth_to_color/image_raw and `rectified: false` in the parameter file; with a LiDAR in place
    of its depth `lift: points` there, and points:=/velodyne_points.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PARAMETERS = PathJoinSubstitution([FindPackageShare("scene_understanding"), "config", "keypoints.yaml"])

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and of its topics"),
    DeclareLaunchArgument("image", default_value="rgb/image_rect_color", description="colour image"),
    DeclareLaunchArgument("camera_info", default_value="rgb/camera_info", description="of the colour image"),
    DeclareLaunchArgument(
        "depth", default_value="depth_registered/image_rect", description="depth, registered to the image"
    ),
    DeclareLaunchArgument("points", default_value="points", description="cloud of a LiDAR, where lift is points"),
    DeclareLaunchArgument("params_file", default_value=PARAMETERS, description="ROS 2 parameter file"),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock (bags, simulators)"),
    DeclareLaunchArgument("autostart", default_value="true", description="configure and activate by itself"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    """The arguments above and one lifecycle node."""
    image, depth = LaunchConfiguration("image"), LaunchConfiguration("depth")
    node = Node(
        package="scene_understanding",
        executable="keypoints",
        name="keypoints",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
                "autostart": ParameterValue(LaunchConfiguration("autostart"), value_type=bool),
            },
        ],
        remappings=[
            ("rgb/image_rect_color", image),
            ("rgb/image_rect_color/compressed", [image, "/compressed"]),
            ("rgb/camera_info", LaunchConfiguration("camera_info")),
            ("depth_registered/image_rect", depth),
            ("depth_registered/image_rect/compressedDepth", [depth, "/compressedDepth"]),
            ("points", LaunchConfiguration("points")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription([*ARGUMENTS, node])
