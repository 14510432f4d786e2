"""Labels the points of a LiDAR: ros2 launch scene_understanding lidar_segmentation.launch.py points:=/velodyne

By the camera where it looks (segmentation.launch.py beside it), by virtual views of the surface everywhere.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PARAMETERS = PathJoinSubstitution([FindPackageShare("scene_understanding"), "config", "lidar_segmentation.yaml"])

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and of its topics"),
    DeclareLaunchArgument("points", default_value="points", description="cloud of the LiDAR"),
    DeclareLaunchArgument("mask", default_value="segmentation/mask", description="labelled camera image"),
    DeclareLaunchArgument("confidence", default_value="segmentation/confidence", description="of the mask"),
    DeclareLaunchArgument("label_info", default_value="segmentation/label_info", description="classes of the mask"),
    DeclareLaunchArgument("camera_info", default_value="rgb/camera_info", description="of the camera"),
    DeclareLaunchArgument(
        "depth", default_value="depth_registered/image_rect", description="depth, registered to the image"
    ),
    DeclareLaunchArgument("params_file", default_value=PARAMETERS, description="ROS 2 parameter file"),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock (bags, simulators)"),
    DeclareLaunchArgument("autostart", default_value="true", description="configure and activate by itself"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]


def generate_launch_description() -> LaunchDescription:
    """The arguments above and one lifecycle node."""
    node = Node(
        package="scene_understanding",
        executable="lidar_segmentation",
        name="lidar_segmentation",
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
            ("points", LaunchConfiguration("points")),
            ("segmentation/mask", LaunchConfiguration("mask")),
            ("segmentation/confidence", LaunchConfiguration("confidence")),
            ("segmentation/label_info", LaunchConfiguration("label_info")),
            ("rgb/camera_info", LaunchConfiguration("camera_info")),
            ("depth_registered/image_rect", LaunchConfiguration("depth")),
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription([*ARGUMENTS, node])
